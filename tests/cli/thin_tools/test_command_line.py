import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinmeta.cli.thin_tools.command_line import WantsHelp, WantsVersion, parse
from thinmeta.cli.thin_tools.tool import CommandLineError, Release, ToolError
from thinmeta.cli.thin_tools.tools import TOOLS

BOTH = pytest.mark.parametrize("release", Release)


def given_of(name: str, release: Release, *words: str) -> list[tuple[str, str | None]]:
    line = parse(TOOLS[name].of(release), release, [*words])
    return [(option.names[0], value) for option, value in line.given]


@BOTH
@pytest.mark.parametrize("words", [["-f", "xml"], ["-fxml"], ["--format", "xml"], ["--format=xml"]])
def test_a_value_is_the_next_word_or_part_of_it(release: Release, words: list[str]) -> None:
    assert given_of("thin_dump", release, *words, "x") == [("-f", "xml")]


def test_a_letters_value_may_have_an_equals_sign_in_1_1() -> None:
    assert given_of("thin_dump", Release.V1_1, "-f=xml", "x") == [("-f", "xml")]
    with pytest.raises(CommandLineError, match="'=xml' is none of"):
        given_of("thin_dump", Release.V0_9, "-f=xml", "x")


def test_flags_may_stand_in_one_word() -> None:
    assert given_of("thin_dump", Release.V1_1, "-qr", "x") == [("-q", None), ("-r", None)]


@pytest.mark.parametrize(
    ("release", "words", "block"),
    [
        (Release.V1_1, ["-m", "x"], None),
        (Release.V1_1, ["-m=28", "x"], "28"),
        (Release.V1_1, ["--metadata-snap=28", "x"], "28"),
        (Release.V0_9, ["-m28", "x"], "28"),
        (Release.V0_9, ["x", "-m", "28"], None),
    ],
)
def test_the_block_of_a_snapshot_is_part_of_its_word(
    release: Release, words: list[str], block: str | None
) -> None:
    assert given_of("thin_dump", release, *words) == [("-m", block)]


def test_words_too_many_are_for_0_9() -> None:
    line = parse(TOOLS["thin_dump"].of(Release.V0_9), Release.V0_9, ["x", "-m", "28"])

    assert line.words == ["x", "28"]
    with pytest.raises(CommandLineError, match="a word too many: '28'"):
        parse(TOOLS["thin_dump"].of(Release.V1_1), Release.V1_1, ["x", "-m", "28"])


def test_an_option_twice_is_for_0_9_where_the_last_counts() -> None:
    words = ["-f", "xml", "-f", "human_readable", "x"]

    assert given_of("thin_dump", Release.V0_9, *words) == [("-f", "human_readable")]
    with pytest.raises(CommandLineError, match="--format is given twice"):
        given_of("thin_dump", Release.V1_1, *words)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("thin_dump", "INPUT is missing"),
        ("thin_dump -x a", "there is no option -x"),
        ("thin_dump --rep a", "there is no option --rep"),
        ("thin_dump --skip-mappings=1 a", "--skip-mappings takes no value"),
        ("thin_dump a --dev-id", "--dev-id needs a value"),
        ("thin_dump --dev-id -1 a", "--dev-id needs a value"),
        ("thin_dump --dev-id x a", "--dev-id: 'x' is no number"),
        ("thin_dump --data-block-size 4294967296 a", "is more than 32 bits hold"),
        ("thin_dump -r -m a", "--repair does not go with -m"),
        ("thin_ls -o NEW a", "none called 'NEW'"),
        ("thin_rmap a", "--region is missing"),
        ("thin_rmap --region 5..5 a", "its end must be greater than its begin"),
        ("thin_rmap --region 5-6 a", "is no region"),
        ("thin_check --auto-repair --skip-mappings a", "does not go with --skip-mappings"),
        ("thin_metadata_size -b 64k -s 1t -m 1 -u x", "is no unit"),
        ("thin_metadata_size -b 64kb -s 1t -m 1", "is no size"),
        ("thin_metadata_size -b 64k -s 1t", "-m is missing"),
    ],
)
def test_what_is_wrong_is_said(words: str, why: str) -> None:
    name, *rest = words.split()

    with pytest.raises(CommandLineError, match=why):
        given_of(name, Release.V1_1, *rest)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("thin_delta --thin1 1 a", "--thin2 or --root2 is missing"),
        ("thin_repair -i /nonexistent -o a", "/nonexistent: no such file"),
    ],
)
def test_what_the_tool_itself_refuses_is_no_error_of_the_command_line(words: str, why: str) -> None:
    name, *rest = words.split()

    with pytest.raises(ToolError, match=why):
        given_of(name, Release.V1_1, *rest)


@BOTH
@pytest.mark.parametrize("name", TOOLS)
def test_help_and_version_need_nothing_else(name: str, release: Release) -> None:
    tool = TOOLS[name].of(release)

    with pytest.raises(WantsHelp):
        parse(tool, release, ["-hV"])
    with pytest.raises(WantsVersion):
        parse(tool, release, ["--version", "--nonsense"])


SPELLINGS = sorted(
    {name for tool in TOOLS.values() for each in tool.options for name in each.names}
)
WORDS = st.one_of(
    st.sampled_from([*SPELLINGS, "--", "-", "", "-h", "-V", "1", "0..5", "xml", "64k", "-m=1"]),
    st.text(max_size=5),
    st.builds("{}={}".format, st.sampled_from(SPELLINGS), st.text(max_size=3)),
)


@given(st.sampled_from(sorted(TOOLS)), st.sampled_from([*Release]), st.lists(WORDS, max_size=6))
def test_any_words_are_read_or_refused(name: str, release: Release, words: list[str]) -> None:
    tool = TOOLS[name].of(release)
    try:
        line = parse(tool, release, words)
    except (CommandLineError, ToolError, WantsHelp, WantsVersion):
        return

    assert all(option in tool.options for option, _ in line.given)
    assert len(line.words) >= (tool.takes is not None and tool.refusal is None)
