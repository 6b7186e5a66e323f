package ci

import "testing"

// Large answers count by their size: of three with 14 MiB each, 32 MiB hold two.
func TestTheStoreIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	s := newStore()
	large := make([]byte, 14<<20)
	for k := range byte(3) {
		s.put(key{k}, kept{body: large})
	}
	s.put(key{2}, kept{body: large}) // in its own place
	for k, want := range []bool{false, true, true} {
		if _, ok := s.get(key{byte(k)}); ok != want {
			t.Errorf("answer %d: kept is %v", k, ok)
		}
	}
	s.drop(key{1})
	s.drop(key{1})
	if s.bytes != len(large) || s.order.Len() != 1 || len(s.byKey) != 1 {
		t.Errorf("%d bytes in %d answers, %d keys", s.bytes, s.order.Len(), len(s.byKey))
	}
}
