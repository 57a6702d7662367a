"""Who did what with which data: a trail that can only grow, chained by hashes, for each tenant."""
