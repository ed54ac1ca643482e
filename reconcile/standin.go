package reconcile

// StandIn puts a value that means nothing in place of each secret that nobody
// decrypted, so that a rehearsal without a key can send something. It returns how
// many there are.
func StandIn(docs []Document) int {
	n := 0
	seen := map[*Node]bool{} // items share their defaults
	var walk func(*Node)
	walk = func(node *Node) {
		if node == nil || seen[node] {
			return
		}
		seen[node] = true
		if s, ok := node.Value.(Secret); ok && s.Sealed() {
			node.Value = NewSecret(standIn, s.Cipher()).At(s.Modified())
			n++
		}
		for i := range node.Members {
			walk(node.Members[i].Value)
		}
		for _, item := range node.Items {
			walk(item)
		}
	}
	for i := range docs {
		walk(docs[i].Spec)
	}
	return n
}

// standIn is what a rehearsal without a key sends for a secret.
const standIn = "stand-in-for-a-secret"
