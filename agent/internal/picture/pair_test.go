package picture

import "testing"

// Of replicas that are alike each stands for the one with its number, whatever order their IDs have.
func TestReplicasStandForTheirNumbers(t *testing.T) {
	t.Parallel()
	replica := func(id string, number int) Container {
		return Container{Project: "shop", Service: "web", ID: id, ImageID: "i", Config: "h", Settings: "s", Number: number, State: "running"}
	}
	was := []Container{replica("a1", 1), replica("a2", 2)}
	for _, is := range [][]Container{{replica("b1", 1), replica("b2", 2)}, {replica("b2", 2), replica("b1", 1)}} {
		pairs, lost, extra := Restore{Before: Picture{Containers: was}}.pair(was, is)
		if len(pairs) != 2 || len(lost)+len(extra) > 0 {
			t.Fatalf("%v, %v, %v", pairs, lost, extra)
		}
		for _, p := range pairs {
			if p.was.Number != p.is.Number {
				t.Errorf("%s stands for %s", p.is.ID, p.was.ID)
			}
		}
	}
	// Where numbers are others, they stand for one another all the same.
	if pairs, _, _ := (Restore{}).pair(was, []Container{replica("c", 3), replica("d", 4)}); len(pairs) != 2 {
		t.Errorf("%v", pairs)
	}
}
