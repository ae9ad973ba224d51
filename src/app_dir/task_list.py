"""The language of APP_TASK_LIST: commands with ; between them."""

import re
import shlex

# One piece of a command in the shell's quoting: an escaped letter, a string
# in single or double quotes, or anything else but a bare semicolon. A quote
# that is not closed is matched by the last branch and left to shlex.
PIECE = re.compile(r"""\\. | '[^']*' | "(?:\\.|[^"\\])*" | [^;]""",
                   re.VERBOSE | re.DOTALL)


def split(text):
    """Return the commands of ``text``, each a list of words.

    A ; in quotes belongs to its word, empty commands are dropped, and no
    shell has a part in it. A quote that is not closed is a ValueError.
    """
    commands = ['']
    at = 0
    while at < len(text):
        piece = PIECE.match(text, at)
        if piece:
            commands[-1] += piece.group()
            at = piece.end()
        else:
            commands.append('')
            at += 1
    return [words for words in map(shlex.split, commands) if words]
