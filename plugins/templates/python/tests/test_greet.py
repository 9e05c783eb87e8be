import unittest

from steps.greet import greet
from steps.step import Failure


class Host:
    @staticmethod
    def log(level, message, **fields):
        pass


class Greet(unittest.TestCase):
    def test_greets_by_name(self):
        self.assertEqual(greet.run({"name": " Ana "}, Host), {"text": "Hello, Ana!"})

    def test_refuses_a_blank_name(self):
        with self.assertRaises(Failure) as raised:
            greet.run({"name": " "}, Host)
        self.assertEqual((raised.exception.code, raised.exception.kind), ("blank_name", "permanent"))
