"""What calculators, searches and Python tools call themselves, and names that say nothing; as in `tools_at_work`."""

from collections.abc import Mapping, Sequence

from anabranch.distill.vocabulary import words_of

BLOCKS = """
calculator | calculator, calc, math, arithmetic, math_eval, compute, evaluate_expression, number_cruncher,
  math.evaluate, do_math, Calculator, tools/calc, adder, abacus, formula, calculate, run_calculation,
  calculateExpression, calc.eval, arithmetic_engine, math-solver, MathEngine, simple_math, basic_math, numeric.eval,
  eval_math, evalFormula, pocket_calculator, scientific-calculator, add_and_multiply, reckon, tally, work_out,
  numexpr, wolfram-lite, arith, Arithmetics, computeValue, solve_expression, math.calc, number-tool,
  mcp__math__evaluate, functions.calculator, bc, count_up, quick-maths, percent_and_more, sumUp
Computes one arithmetic expression.
Evaluates a mathematical expression and returns the number.
Does arithmetic: plus, minus, times, divided by.
Calculates with numbers exactly.
Use this for any calculation.
Adds, subtracts, multiplies and divides.
Works out sums, differences, products and percentages.
Solves arithmetic such as 3 * (4 + 5).
Calculator
A simple calculator.
Pocket calculator for the four basic operations
Use this tool to calculate the value of an arithmetic expression such as "12 * 7 - 5".
Useful for when you need to answer questions about math.
Takes an expression in ordinary notation, for instance (18 + 4) / 2, and returns its exact value.
Call this whenever something has to be added up, multiplied or divided, rather than guessing.
Arithmetic engine with exact fractions
How much is 17 times 23?
Math.
Evaluates formulas: + - * / ** and brackets.
A reliable way to do sums, since language models slip when they calculate in their head.
Returns the result of a calculation; input: the expression as a string.
For computations of every sort: totals, shares, averages, rates, change to be given back.
Computes percentages, totals and remainders.
Let this do the maths.
Works like the calculator app on a phone.
expression (string): the formula to be evaluated
Calculates.
An evaluator for arithmetic.
Exact maths on integers, decimals and fractions, with brackets and powers
Tells how much something is when you say what to add, take away, multiply or divide.
Ask it how much 45 * 12 is.
Never do arithmetic yourself: pass the expression on to this tool and use the value it gives back.
Quantities in, quantity out: it computes.
Reckons up amounts of money, time, weight and so on from a formula.
Supports addition, multiplication, powers, roots, abs, min and max.
Safe evaluation of math expressions; no variables, no functions other than the usual ones.
Turns "3 dozen minus 5" style formulas such as 3 * 12 - 5 into their value.
Determines the value of a mathematical term.

search | search, web_search, wikipedia, lookup, find_passages, document_search, retriever, wiki, knowledge_base,
  google, kb.search, search_docs, Search, ask_archive, encyclopedia, library, searchWeb, duckduckgo, brave-search,
  tavily_search, vector_store.query, semantic-search, retrieve, rag.lookup, getPassages, find_information,
  full_text_search, doc-finder, wikipedia.search, fetch_facts, knowledge.query, factbook, BookShelf, ask_wiki,
  researcher, research_tool, look_it_up, mcp__search__query, functions.search, elastic.search, PaperTrail,
  context-retriever, search_engine, almanac, GoogleSearch, who_what_when, reading-room
Looks up facts in documents.
Searches the web for a fact.
Finds passages in Wikipedia.
Retrieves the passages that fit a query best.
Answers factual questions about people, places and things.
Searches the company's documents.
Use this to look up facts, names, dates and places.
Full-text search over an encyclopedia.
Web search
A search engine.
Search the web and get the top results with snippets.
Useful for when you need to answer questions about current events or the state of the world.
Use this tool to search Wikipedia for a topic and read the opening paragraphs of the best page.
Semantic search over an indexed document store; returns the closest chunks with their sources.
Who, when, where: asks the encyclopedia.
Knowledge base lookup
Given a question in plain words, finds the paragraphs of our collection in which the answer may stand.
Reads up on a subject in reference works.
Call this whenever you are not sure of a fact about the world, before you answer.
query (string): what you want to find out
Search.
Consults Wikipedia.
Full text of books, papers and newspapers, to be searched by key words
Finds out when something happened, who did it, or where it is.
Queries a search engine and gives back what was found on the first page.
Background knowledge on persons, works, firms, buildings, countries and events
Vector retrieval from the uploaded documents.
Brings up the entries of a lexicon on any subject.
Ask it anything about history, geography, film, music, science or sport.
Facts on demand.
Gets a short text about a person, a place or a thing by name.
Use it for knowledge that is not in the conversation, such as birthplaces, founders, heights and years.
Search index over the documents this assistant was given
Looks for sources that bear on a question and quotes from them.
A well-read librarian: tell it what you need to know.
Returns up to five relevant snippets for a query.
Googles a question.
Open-domain question answering over a large corpus

python | python, run_python, code, python_repl, sandbox, execute_code, script, interpreter, python.exec, runPython,
  code_interpreter, CodeRunner, py_exec, ipython, jupyter.run, python-sandbox, run_code, exec_script, python3,
  pyodide, eval_python, PythonTool, code.execute, script-runner, program, run_program, code_sandbox,
  mcp__python__run, functions.python, snake, PyRunner, cell.run, notebook.execute, python_shell, compute_code,
  coding-box, runScript, repl, pythonInterpreter, execPy, code-cell
Runs a short Python program.
Executes Python code in a sandbox and returns its output.
A Python interpreter for loops, dates and longer calculations.
Runs code and prints the result.
Python shell
A Python REPL.
Use this tool to execute Python; print what you want to see.
A stateful Jupyter kernel: send a cell, get its output.
Use this to run short scripts for problems that need a program, such as simulations or counting with loops.
code (string): Python to be executed; only what is printed comes back
Code execution
Write a program in Python and this tool runs it.
An isolated sandbox with Python 3.12, without network or files.
Python.
Runs what you program and shows standard output.
Code interpreter for data crunching, dates, loops and algorithms
Executes a script with a time limit of ten seconds.
For work that is easier to program than to do by hand: write the script, read what it prints.
Sends source code to a Python process and returns stdout.
Programming environment for Python
Hands a function to CPython and reports its value.
Lets you write and run code.
Evaluates Python statements one after the other, with the standard library at hand.
A secure container in which scripts of yours are executed
Executes a block of Python and gives its printed text or the traceback.
Scripts: runs them.
Does what your Python code says.
Useful for long computations, for simulations and for date arithmetic, as a program in Python.
Sandboxed execution of small programs
Starts Python with the code you pass in and waits until it has finished.
Use print(...) to get values out of this Python environment.
Run Python, see output.
"""

PHRASES: Mapping[str, Sequence[Sequence[str]]] = {
    "calculator": (
        ("", "", "", "", "This tool", "A tool that", "A helper that", "Service:"),
        (
            "Computes", "Evaluates", "Works out", "Calculates", "Does", "Solves", "Takes care of", "Reckons",
            "Determines", "Finds the value of", "Carries out", "Gives the result of", "Returns the value of",
        ),
        (
            "arithmetic", "a mathematical expression", "sums", "calculations", "maths", "a formula with numbers",
            "a numerical expression", "plus, minus, times and division", "an arithmetic expression", "basic math",
            "percentages and totals", "the given formula", "any arithmetic term", "sums and differences",
            "products and quotients", "math problems with plain numbers", "computations",
            "an equation's right-hand side", "a term like 6 * 7", "an expression such as (2 + 3) / 4",
            "multiplications and the like",
        ),
        (
            "", "", "", "exactly", "for you", "and returns the result", "and gives back a number", "with brackets",
            "with numbers and operators", "to any precision", "without rounding errors", "in one step",
            "so that you need not do it in your head", "like a pocket calculator", "given as a string",
            "with decimals and fractions",
        ),
    ),
    "search": (
        ("", "", "", "", "This tool", "A tool that", "A service that", "Agent:"),
        (
            "Finds", "Looks up", "Retrieves", "Searches for", "Fetches", "Gets", "Digs up", "Brings up", "Locates",
            "Tracks down", "Hunts for", "Consults sources for", "Discovers",
        ),
        (
            "facts", "information", "passages", "articles", "texts", "documents", "pages", "knowledge",
            "paragraphs", "names and dates", "encyclopedia entries", "background on any topic", "snippets",
            "answers to factual questions", "who did what and when", "general facts", "reference material",
            "evidence",
        ),
        (
            "in documents", "on the web", "in an encyclopedia", "in a library", "about people and places",
            "from a collection", "in our files", "for a question", "from Wikipedia", "on people, works and events",
            "in a large corpus", "with a search engine", "by key words", "by meaning", "in the knowledge base",
            "about history, geography and culture", "in the uploaded documents", "that bear on a query",
            "in books and newspapers",
        ),
    ),
    "python": (
        ("", "", "", "This tool", "A tool that", "Sandbox:"),
        ("Runs", "Executes", "Evaluates", "Starts"),
        (
            "Python code", "a Python program", "a Python script", "code in Python", "a snippet of Python",
            "a small program", "a script that you write", "Python 3", "Python statements", "a block of code",
        ),
        (
            "", "", "and returns what it prints", "in a sandbox", "with a time limit", "and shows its output",
            "in a container", "without network access", "and reports errors", "for longer computations",
            "in a fresh process",
        ),
    ),
}  # fmt: skip
"""Parts of descriptions by kind, combined at random; with names that say nothing they teach to read descriptions."""

NONSENSE = words_of("""
t tool helper alpha beta gamma blue fox zorp kappa unit plugin skill action node svc x ferret delta omega quark atlas
hermes turing apollo rover pixel robin mango jasper nova echo bolt luna titan iris assistant function endpoint service
module widget connector adapter step task job op command handler worker agent bot buddy genie oracle wizard butler Max
Otto Ada Basil Clover Doris Ernie Flora Gus Hattie Ivo Juno Kit Lotte Milo Nell Olive Percy Quincy Remy Sage Toby Uma
Vera Wally Xena Yogi Zelda maple cedar birch willow aspen river canyon harbor ember frost comet orbit prism cobalt
amber onyx pearl topaz falcon otter badger heron lynx walrus panda gecko tango foxtrot sierra whiskey zulu north
lever gear piston spark flux vertex matrix cipher rune totem lantern anchor compass kettle teapot biscuit pretzel waffle
""")
"""Names that tell nothing of what a tool is for."""
