"""Keys by their place on the keyboard, called as on a US keyboard: what each system calls the same physical key.

A layout says which text a key types, and it may change while a game is played. Where the key is does not change, and
games go by it; so keys are heard, pressed, stored and named by their place.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final


@dataclass(frozen=True)
class Place:
    """One physical key.

    id: its own name, such as "ctrl_r"; name: what an action space and a recording call it, which the keys of a pair
    share ("ctrl"); xkb: its name in an X server's keymap; evdev: Linux's number of it (an X server's keycode is
    usually 8 more); scan, extended: Windows' scan code (set 1) and whether it is prefixed with E0; mac: macOS' virtual
    key code, -1 where Apple has no such key.
    """

    id: str
    name: str
    xkb: str
    evdev: int
    scan: int
    extended: bool
    mac: int


_TABLE: Final = """
esc esc ESC 1 01 53
1 1 AE01 2 02 18
2 2 AE02 3 03 19
3 3 AE03 4 04 20
4 4 AE04 5 05 21
5 5 AE05 6 06 23
6 6 AE06 7 07 22
7 7 AE07 8 08 26
8 8 AE08 9 09 28
9 9 AE09 10 0A 25
0 0 AE10 11 0B 29
- - AE11 12 0C 27
= = AE12 13 0D 24
backspace backspace BKSP 14 0E 51
tab tab TAB 15 0F 48
q q AD01 16 10 12
w w AD02 17 11 13
e e AD03 18 12 14
r r AD04 19 13 15
t t AD05 20 14 17
y y AD06 21 15 16
u u AD07 22 16 32
i i AD08 23 17 34
o o AD09 24 18 31
p p AD10 25 19 35
[ [ AD11 26 1A 33
] ] AD12 27 1B 30
enter enter RTRN 28 1C 36
ctrl_l ctrl LCTL 29 1D 59
a a AC01 30 1E 0
s s AC02 31 1F 1
d d AC03 32 20 2
f f AC04 33 21 3
g g AC05 34 22 5
h h AC06 35 23 4
j j AC07 36 24 38
k k AC08 37 25 40
l l AC09 38 26 37
; ; AC10 39 27 41
' ' AC11 40 28 39
` ` TLDE 41 29 50
shift_l shift LFSH 42 2A 56
\\ \\ BKSL 43 2B 42
z z AB01 44 2C 6
x x AB02 45 2D 7
c c AB03 46 2E 8
v v AB04 47 2F 9
b b AB05 48 30 11
n n AB06 49 31 45
m m AB07 50 32 46
, , AB08 51 33 43
. . AB09 52 34 47
/ / AB10 53 35 44
shift_r shift RTSH 54 36 60
kp_multiply kp_multiply KPMU 55 37 67
alt_l alt LALT 56 38 58
space space SPCE 57 39 49
caps_lock caps_lock CAPS 58 3A 57
f1 f1 FK01 59 3B 122
f2 f2 FK02 60 3C 120
f3 f3 FK03 61 3D 99
f4 f4 FK04 62 3E 118
f5 f5 FK05 63 3F 96
f6 f6 FK06 64 40 97
f7 f7 FK07 65 41 98
f8 f8 FK08 66 42 100
f9 f9 FK09 67 43 101
f10 f10 FK10 68 44 109
num_lock num_lock NMLK 69 45 71
scroll_lock scroll_lock SCLK 70 46 -1
kp7 kp7 KP7 71 47 89
kp8 up KP8 72 48 91
kp9 kp9 KP9 73 49 92
kp_subtract kp_subtract KPSU 74 4A 78
kp4 left KP4 75 4B 86
kp5 kp5 KP5 76 4C 87
kp6 right KP6 77 4D 88
kp_add kp_add KPAD 78 4E 69
kp1 kp1 KP1 79 4F 83
kp2 down KP2 80 50 84
kp3 kp3 KP3 81 51 85
kp0 kp0 KP0 82 52 82
kp_decimal kp_decimal KPDL 83 53 65
< < LSGT 86 56 10
f11 f11 FK11 87 57 103
f12 f12 FK12 88 58 111
kp_enter enter KPEN 96 E01C 76
ctrl_r ctrl RCTL 97 E01D 62
kp_divide kp_divide KPDV 98 E035 75
print_screen print_screen PRSC 99 E037 -1
alt_r alt RALT 100 E038 61
home home HOME 102 E047 115
up up UP 103 E048 126
page_up page_up PGUP 104 E049 116
left left LEFT 105 E04B 123
right right RGHT 106 E04D 124
end end END 107 E04F 119
down down DOWN 108 E050 125
page_down page_down PGDN 109 E051 121
insert insert INS 110 E052 114
delete delete DELE 111 E053 117
cmd_l cmd LWIN 125 E05B 55
cmd_r cmd RWIN 126 E05C 54
menu menu COMP 127 E05D -1
"""
"""id, name, XKB name, evdev code, scan code in hex (E0 in front where extended), macOS' code."""


def _read(line: str) -> Place:
    id_, name, xkb, evdev, scan, mac = line.split()
    return Place(id_, name, xkb, int(evdev), int(scan[-2:], 16), len(scan) > 2, int(mac))


PLACES: Final = tuple(map(_read, _TABLE.split("\n")[1:-1]))

NAMES: Final = frozenset(place.name for place in PLACES)
"""Every name that an action space may hold."""


@cache
def places_of(name: str) -> tuple[Place, ...]:
    """The physical keys of a name, the one that is pressed first: for "ctrl" the left one, then the right one, and
    for "left" the arrow, then the 4 of the keypad. Empty if there is no such name.
    """
    found = [place for place in PLACES if place.name == name]
    return tuple(sorted(found, key=lambda place: place.id.startswith("kp")))
