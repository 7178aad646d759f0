"""Reports: numbers as text, pictures and pages."""

from tinyvision.report.annotate_text import print_annotated
from tinyvision.report.bench_text import print_bench
from tinyvision.report.boards import board_rows, print_boards
from tinyvision.report.front import front_html, front_json, front_svg, front_table
from tinyvision.report.html import plan_html, profile_html
from tinyvision.report.plan_svg import plan_svg
from tinyvision.report.plan_text import print_plan
from tinyvision.report.profile_text import print_build, print_profile
from tinyvision.report.training_text import print_evaluation, print_training
from tinyvision.report.zoo import HEADINGS as ZOO_HEADINGS
from tinyvision.report.zoo import print_zoo, zoo_cells

__all__ = [
    "ZOO_HEADINGS",
    "board_rows",
    "front_html",
    "front_json",
    "front_svg",
    "front_table",
    "plan_html",
    "plan_svg",
    "print_annotated",
    "print_bench",
    "print_boards",
    "print_build",
    "print_evaluation",
    "print_plan",
    "print_profile",
    "print_training",
    "print_zoo",
    "profile_html",
    "zoo_cells",
]
