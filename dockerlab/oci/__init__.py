"""The data types of the OCI and Docker specifications: values only, no input or output.

Reading order: `digest`, `reference`, `platform`, `descriptor`, `manifest`, `imageconfig`,
`runtimespec`.
"""
