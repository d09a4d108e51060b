"""Tables, statistics and figures: what the numbers look like, without IPython.

Reading order: `tables`, `cells`, `listings`; `timelines`, `statistics`, `summary`, `waterfall`,
`plots`, `accessor`. Importing this package is free; its modules import pandas and numpy, and
`plots` imports matplotlib when it draws.
"""
