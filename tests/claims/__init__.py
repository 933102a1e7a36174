"""Every claim of every notebook, driven to proven and to refuted: see :mod:`claims.kit`."""
