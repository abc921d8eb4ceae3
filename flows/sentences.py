"""What is said behind a model's name to those whom its file names: templates that Prefect's server fills in."""

from collections.abc import Mapping

from models.sections import Topic

VERSION = "version {{ event.payload.version }}"
WHO = "{{ event.payload.who }}: {{ event.payload.why }}"
REASONS = "{{ event.payload.reasons | join('; ') }}"
PAGE = "{{ flow_run | ui_url or 'the page of ' ~ flow_run.name }}"
"""Of the flow run in Prefect's UI: a server may not know its own address."""
SEE = "{% if flow_run %}; see " + PAGE + "{% endif %}"

AWAITS = (
    " waits for approval: {% if flow_run.deployment_id %}Resume at " + PAGE + "{% else %}"
    "perennial promote {{ event.payload.model }} --version {{ event.payload.version }} --approve REASON, "
    # The last reason is that somebody has to approve it.
    "or --reject REASON{% endif %}; {{ event.payload.reasons[:-1] | join('; ') }}"
)
REFUSED = (
    " {{ 'is refused' if event.event.endswith('.refused') else 'stays challenger, the judgement is undecided' }} "
    "(" + WHO + "); " + REASONS + SEE
)
INSTEAD = (
    "{% if event.payload.previous_champion not in (none, event.payload.version) %} "
    "in place of version {{ event.payload.previous_champion }}{% endif %}"
)

SENTENCES: Mapping[Topic, str] = {
    "failure": "{{ flow.name }} ended as {{ flow_run.state.name }}: {{ flow_run.state.message }}" + SEE,
    "refusal": VERSION
    + ("{% if event.event.endswith('.awaits-approval') %}" + AWAITS + "{% else %}" + REFUSED + "{% endif %}"),
    "promotion": VERSION
    + (" is {{ 'rolled back' if event.event.endswith('.rolled-back') else 'champion' }}" + INSTEAD)
    + (" (" + WHO + "); " + REASONS + SEE),
    "drift": VERSION + ": {{ event.payload.breaches }} of the last {{ event.payload.windows | length }} windows have "
    "drifted or are worse than promised, the newest in: "
    "{{ (event.payload.columns + event.payload.worse) | join(', ') }}" + SEE,
}
