"""The basedir of a node: its lock, its files, its keys and passwords, and its name as a writer."""

from ifap_twisted.basedir.basedir import Basedir, Random, default_basedir, expanded
from ifap_twisted.basedir.directory import Directory
from ifap_twisted.basedir.holding import Held

__all__ = ["Basedir", "Directory", "Held", "Random", "default_basedir", "expanded"]
