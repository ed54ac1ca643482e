package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	binary := flag.String("binary", "", "proxbox-sync")
	part := flag.String("part", "growth", "")
	sizes := flag.String("sizes", "1000,10000,100000", "numbers of objects")
	rounds := flag.Int("rounds", 2, "rounds")
	flag.Parse()
	list, err := numbers(*sizes)
	switch {
	case err != nil:
	case *part == "growth":
		_, err = growth(*binary, list, *rounds)
	case *part == "limit":
		_, err = limits(newServer(os.Getenv("NETBOX_URL"), os.Getenv("NETBOX_TOKEN")), *binary, list[0], *rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
