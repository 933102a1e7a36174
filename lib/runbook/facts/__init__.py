"""What is observed, read-only: functions of a site that return DataFrames."""

import pandas as pd

pd.set_option("display.max_colwidth", None, "display.max_rows", 200)  # a notebook shows whole sentences, and every row
