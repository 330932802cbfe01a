"""Documents in, Documents out: one at a time (`read`), or many to a folder, where a later run goes on (`read_to`)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from microfiche.documents.crew import Crew
from microfiche.documents.document import Document
from microfiche.documents.engines import Engine, Engines, engines
from microfiche.documents.fetching import is_url, without_secrets
from microfiche.documents.job import Job, Standing
from microfiche.documents.job import Outcome as Outcome
from microfiche.documents.job import Request as Request
from microfiche.documents.opening import DocumentSource, open_document, page_numbers
from microfiche.documents.pages import document_of, read_pages
from microfiche.documents.writing import names_for
from microfiche.errors import UsageError
from microfiche.limits import Limits


def read(
    source: str | Path | bytes,
    *,
    engine: str | None = None,
    pages: str | None = None,
    dpi: float = 144,
    password: str | None = None,
    limits: Limits = Limits(),
    pictures: Engine | None = None,
) -> Document:
    """The Document in a PDF or picture, which is given by its path or URL or as bytes.

    `pages` are numbered from 1 ("1-3,7"). `engine` names the one that reads every page: "text", "rapid", the name of
    `pictures`, or a model that ships. Without it, a page's text layer is taken where it is sound, and `pictures`, or
    RapidOCR if that is None, reads the others. Raises InputError for what cannot be opened, and SetUpError if an engine
    cannot start; a page that cannot be read has the status failed.
    """
    name = "-" if isinstance(source, bytes) else str(source)
    at_hand = engines(engine, pictures)
    origin = source if isinstance(source, bytes) else name if is_url(name) else Path(source)
    with open_document(origin, without_secrets(name), dpi=dpi, password=password, limits=limits) as opened:
        numbers = page_numbers(pages, opened.pages) if pages else None
        return document_of(opened, {}, [page for page, _ in read_pages(opened, at_hand, numbers)])


def read_to(
    folder: str | Path | None,
    sources: Sequence[DocumentSource],
    request: Request = Request(),
    *,
    form: str = "md",
    overlays: bool = False,
    resume: bool = False,
    jobs: int = 1,
    each: Callable[[Outcome], None] = lambda outcome: None,
    progress: Callable[[Standing], None] = lambda standing: None,
) -> list[Outcome]:
    """Reads documents to a folder and returns the outcomes of those that were not read whole.

    `folder` gets NAME.md (NAME.txt, as `form` is "md", "text" or "json"), always NAME.json, NAME/figures/, and, with
    `overlays`, each page with its blocks drawn on it; None writes nothing. `resume` takes over what an earlier run read
    of the same files by the same request, whether it was broken off or some of its pages failed. `jobs` is how many
    processes read, each a document at a time. `each` is given every outcome in the order of the `sources`, `progress`
    how far the whole reading is. Raises UsageError for an unknown engine, and InputError if the folder cannot be one.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs: there must be at least one")
    job = Job(request, None if folder is None else Path(folder), form, overlays, resume)
    job.check()
    at_hand = request.at_hand()
    tasks = list(zip(sources, names_for([source.name for source in sources]), strict=True))
    standing = Standing(len(tasks), progress)
    failures = []
    with closing(_outcomes(job, tasks, at_hand, min(jobs, len(tasks)), standing)) as outcomes:
        for outcome in outcomes:
            each(outcome)
            if outcome.failure:
                failures.append(outcome)
    return failures


def _outcomes(
    job: Job, tasks: Sequence[tuple[DocumentSource, str]], at_hand: Engines, jobs: int, standing: Standing
) -> Generator[Outcome, None, None]:
    if jobs > 1:
        with Crew(job, jobs) as crew:
            yield from crew.outcomes(tasks, standing)
        return
    for number, (source, name) in enumerate(tasks):
        outcome = job.outcome(source, name, at_hand, partial(standing.told, number))
        standing.end(number)
        yield outcome
