"""Runs entry points one after another, each in a fork of one process that has imported TensorFlow.

Reads a JSON list of argument lists from stdin and answers with [status, stdout, stderr] for each.
A list begins with a module, or a file that ends in .py; before it may stand --cd=FOLDER to run in.
Importing costs seconds, forking nothing, so a test can afford many command lines.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback

import scripts
import scripts.benchmark
import scripts.compare
import scripts.compress
import scripts.demo
import scripts.evaluate
import scripts.generate
import scripts.prepare
import scripts.report
import scripts.reproduce
import scripts.sweep
import scripts.train
import scripts.web  # noqa: F401


def run(arguments):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            if arguments[0].startswith("--cd="):
                os.chdir(arguments.pop(0).removeprefix("--cd="))
            sys.argv = arguments
            status = 0
            try:
                if arguments[0].endswith(".py"):
                    runpy.run_path(arguments[0], run_name="__main__")
                else:
                    del sys.modules[arguments[0]]
                    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
                status = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, wait = os.waitpid(pid, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
        return [os.waitstatus_to_exitcode(wait), *texts]


answers = [run(arguments) for arguments in json.load(sys.stdin)]
json.dump(answers, sys.stdout)
