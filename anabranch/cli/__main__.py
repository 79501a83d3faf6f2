"""`python -m anabranch.cli`."""

from anabranch.cli.commands import main

if __name__ == "__main__":
    main()
