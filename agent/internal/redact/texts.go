package redact

// texts is a list of different texts, oldest first.
type texts struct {
	list  []string
	there map[string]bool
	size  int // in bytes
}

func newTexts() texts { return texts{there: map[string]bool{}} }

func (t *texts) has(text string) bool { return t.there[text] }

// add appends those that are not there yet.
func (t *texts) add(more []string) {
	for _, text := range more {
		if !t.there[text] {
			t.list, t.there[text], t.size = append(t.list, text), true, t.size+len(text)
		}
	}
}

// limit drops the oldest until all are of so many bytes at most.
func (t *texts) limit(most int) {
	gone := 0
	for ; t.size > most; gone++ {
		t.size -= len(t.list[gone])
		delete(t.there, t.list[gone])
	}
	t.list = append([]string(nil), t.list[gone:]...)
}

func sizeOf(list []string) (size int) {
	for _, text := range list {
		size += len(text)
	}
	return size
}
