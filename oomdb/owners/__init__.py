"""Who owns a namespace: CODEOWNERS of a checkout, its clone by `git`, names and addresses by `glab`.

No SQL and no terminal enter this room.
"""
