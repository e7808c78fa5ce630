"""Pages that open without a server: Jinja2 templates on one frame, ``templates/base.html``."""

import jinja2


def create_templates(package: str) -> jinja2.Environment:
    """Returns the templates of a package, which may extend the frame; what they show is escaped.

    Args:
        package: has a folder ``templates``.
    """
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("tfac")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
