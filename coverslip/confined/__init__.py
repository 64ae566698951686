"""Parsing in a child process that can reach neither network nor other files nor other processes.

    supervisor   asks for a child, listens to it, ends it; parses nothing itself
    zygote       the process children are forked from, and what a child does
    layers       the walls: rlimits, namespaces, capabilities, Landlock, seccomp
    messages     the few typed lines a child may say
    makers       processes that make tiles for a front end; maker is what runs in one
    doctor       which walls hold on this machine

Linux only; elsewhere the command line works in its own process and says so.
"""
