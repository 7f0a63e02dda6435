"""A metric of the tests: is the answer in capital letters?"""


def shouts(example, pred, trace=None):
    return pred.answer == pred.answer.upper()
