"""The disk's truth: every structure as a construct schema, and the numpy dtypes from them."""
