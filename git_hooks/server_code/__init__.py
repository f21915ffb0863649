"""What a tree brings to run on the master, or that lets it read outside of the tree: server code.

Whoever can make puppetserver execute something has its account, and through it
every other project. So what a members' branch brings of that kind must be on a
branch that the site reviews already, or be approved by an operator.

Owns which file of a tree is server code (places.py), which call of Puppet code
is (calls.py), and what of a hiera.yaml is (hiera_yaml.py), each a pure rule.
"""
