import os

# Read when torch is loaded. Threads that spin while they wait for one another, OpenMP's default, take 10 times as long
# where other processes want the cores, too (seen: 150 s against 11 s on two shared cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
