from __future__ import annotations

import errno

import pytest

from lockstep import errors


def ending(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    def work() -> None:
        raise error

    return errors.exit_code(work), capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(errors.InputError("no"), 1), (errors.Refused("no"), 3), (errors.OutsideError("no"), 4)]
)
def test_an_expected_failure_is_one_line_and_its_own_exit_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error, capsys) == (code, "error: no\n")


def test_success_is_zero() -> None:
    assert errors.exit_code(lambda: None) == 0


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = ending(KeyboardInterrupt(), capsys)
    assert code == 130
    assert text.startswith("interrupted")


def test_a_full_disk_is_recognised_behind_another_error(capsys: pytest.CaptureFixture[str]) -> None:
    outer = ValueError("could not write")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    code, text = ending(outer, capsys)
    assert code == 1
    assert text.startswith("error: the disk is full")


def test_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = ending(ZeroDivisionError("oh"), capsys)
    assert code == 70
    assert "ZeroDivisionError: oh" in text
    assert "This is a bug" in text


def test_an_order_to_exit_is_passed_on() -> None:
    with pytest.raises(SystemExit):
        errors.exit_code(lambda: (_ for _ in ()).throw(SystemExit(143)))
