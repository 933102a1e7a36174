"""The journal: execute notebooks, judge them, keep what they left, and make pages of it.

============  ======================================================================
notebook      the stored notebooks: number, title, declared parameters, selection
engine        papermill's engine with our stops, time limits and progress
execute       a run: step after step into a folder of its own
judge         whether an executed notebook succeeded; not papermill's word for it
record        ``run.json``: what a run was and what came of it
figures       images and their data, as files
render        the pages (HTML) of a run
index         ``reports/README.md`` and ``reports/index.html``, from the ``run.json``\\ s
history       expected times, the run to resume
draft         prepared copies to step through by hand, and closing them
folders       names, locks, and what a killed runner left
atomic        files that are whole or not there
============  ======================================================================
"""
