"""The sources themselves."""

import ast
import glob
import os
import unittest

PLUGINS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class SourceTests(unittest.TestCase):
    def test_everything_is_python_3_9(self):
        patterns = [f"{PLUGINS}/{kind}/**/*.py" for kind in ("python", "libvirt")]
        paths = [path for pattern in patterns for path in glob.glob(pattern, recursive=True)]
        self.assertGreater(len(paths), 30)
        for path in paths:
            with open(path, encoding="utf-8") as file:
                ast.parse(file.read(), path, feature_version=(3, 9))


if __name__ == "__main__":
    unittest.main()
