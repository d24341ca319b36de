"""`make bench`: this gateway beside its peers, then the route table by its size."""

from tests.bench.compare import main as compare
from tests.bench.route_match import main as route_match

if __name__ == "__main__":
    compare()
    print()
    route_match()
