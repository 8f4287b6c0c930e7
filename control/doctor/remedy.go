package doctor

// Remedy is a stand-in for explain.Remedy.
type Remedy struct {
	Name  string `json:"name"`
	Do    string `json:"do"`
	Price string `json:"price"`
}
