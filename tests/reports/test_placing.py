from bench.reports.views.cost import label_sides


def test_a_label_stands_to_the_right_until_the_plot_ends() -> None:
    assert label_sides([(10, 50), (90, 50)], ["one", "two"]) == ["right", "left"]


def test_labels_of_near_points_do_not_meet() -> None:
    assert label_sides([(20, 0), (25, 0)], ["detr", "maskformer"]) == ["left", "right"]
    assert label_sides([(40, 50), (45, 50), (50, 50)], ["first", "second", "third"]) == ["left", "above", "right"]


def test_where_no_side_is_free_the_usual_one_is_taken() -> None:
    crowd = [(50.0, 50.0)] * 6
    assert label_sides(crowd, ["label"] * 6)[-1] == "right"
