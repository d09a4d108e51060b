"""The domain: containers, images, execs, events, and the order in which things happen.

`engine` joins the machinery (`image`, `runtime`) and knows nothing of HTTP. Singular modules are
records, plural ones the keepers of many. Reading order: `container`, `state`, `database`, `images`,
`pulls`, `containers`, `specs`, `start`, `task`, `recovery`, `engine`.
"""
