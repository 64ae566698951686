"""Codestreams and colour profiles: headers rebuilt, coded bytes left alone."""
