# Unit tests, one line a module, in the order of the sources: unit_test(<folder>/<module> <libraries>).
