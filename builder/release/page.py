"""The report as text, and as one page that loads nothing from elsewhere. Pure."""

from pathlib import Path

from builder.base.pages import page_environment
from builder.release.compare import Report
from builder.release.treemap import lay_out

_TEMPLATES = Path(__file__).parent / "templates"
_WIDTH, _HEIGHT = 960.0, 480.0


def render_text(report: Report) -> str:
    """Return the report for a terminal; sections without a difference say so."""
    lines = [f"{report.new} against {report.old}"]
    for section in report.sections:
        lines += ["", section.title]
        lines += [
            f"  {line.text}" + (f"  <{line.link}>" if line.link else "") for line in section.lines
        ] or ["  nothing"]
    return "\n".join(lines) + "\n"


def render_page(report: Report) -> str:
    """Return the report as a page, with a map of the wheels' sizes."""
    environment = page_environment(_TEMPLATES)
    environment.filters["safe_link"] = lambda link: (
        link if link.startswith(("https://", "http://")) else ""
    )
    boxes = lay_out(report.areas, width=_WIDTH, height=_HEIGHT)
    template = environment.get_template("report.html.j2")
    return template.render(report=report, boxes=boxes, width=_WIDTH, height=_HEIGHT)
