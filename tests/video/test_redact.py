import pytest
from hypothesis import given
from hypothesis import strategies as some

from crossiqa_edge.video.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:pass@cam:554/live", "rtsp://***@cam:554/live"),
        ("rtsp://u:p%40ss@h/live?token=abc&x=1", "rtsp://***@h/live?token=***&x=***"),
        ("rtsp://u:p@ss@h/x", "rtsp://***@h/x"),
        ("rtsp://u:p/w@h/x", "rtsp://***"),  # where the password ends is anybody's guess
        ("rtsp://u:p?a#ss@h/x", "rtsp://***"),
        ("https://h/p?e=a@b.c&t=abc", "https://***"),
        ("https://h/p?abcdef", "https://h/p?***"),
        ("https://h/p#abc", "https://h/p#***"),
        ("http://only-a-name@h", "http://***@h"),
        ("udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234"),
        ("HTTP://U:P@H/", "HTTP://***@H/"),
        (
            "open 'rtsp://a:b@c/d' then \"http://e:f@g\": no",
            "open 'rtsp://***@c/d' then \"http://***@g\": no",
        ),
        ("Authorization: Basic dTpw", "Authorization: ***"),
        ("401: access_token=abc, next", "401: access_token=***, next"),
        ("password: hunter2", "password: ***"),
        ("no secret in here: 3 frames, clip.mp4", "no secret in here: 3 frames, clip.mp4"),
        ("/videos/a@b/c?d=e.mp4", "/videos/a@b/c?d=e.mp4"),  # a path is no URL
    ],
)
def test_hides_secrets_and_nothing_else(text, shown):
    assert redact(text) == shown
    assert redact(shown) == shown


_WORD = some.text("abcdefgh0123456789%:@/?#&=;.!$", min_size=6, max_size=20)


@given(user=_WORD, password=_WORD)
def test_no_password_survives_whatever_it_holds(user, password):
    shown = redact(f"cannot open rtsp://{user}:{password}@camera.local/live: refused")
    assert shown in (
        "cannot open rtsp://***@camera.local/live: refused",
        "cannot open rtsp://*** refused",
    )


@given(token=some.text("abcdefgh0123456789%:@/?=;.!$", min_size=6, max_size=20))
def test_no_token_survives_whatever_it_holds(token):
    shown = redact(f"http://h/live?t={token}&u=1")
    assert token not in shown
