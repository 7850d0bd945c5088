"""The pages: Listen, and the app that serves it. Holds no mathematics and no SQL.

Importing a module of this package starts nothing; `ui.app.run_app` does.
"""
