# What the server uses of plotly, which brings no types.
