package aws

import "encoding/json"

// trailAnswers reads which events PutAuditEvents took.
//
// Only what is wrong with an event itself is a rejection of its record. What would
// be wrong with every event (the account, the source) is an error, for the record
// must not be lost to a mistake in the configuration; so is what is not known.
func trailAnswers(body []byte, batch []entry) ([]answer, error) {
	var out struct {
		Failed []struct {
			ID        string `json:"id"`
			ErrorCode string `json:"errorCode"`
		} `json:"failed"`
		Successful []struct {
			ID      string `json:"id"`
			EventID string `json:"eventID"`
		} `json:"successful"`
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, unreadable("its members have other types")
	}
	index := make(map[string]int, len(batch))
	for i := range batch {
		index[batch[i].key] = i
	}
	answers := make([]answer, len(batch))
	take := func(id string) (int, bool) {
		i, ok := index[id]
		delete(index, id)
		return i, ok
	}
	for _, s := range out.Successful {
		i, ok := take(s.ID)
		if !ok || s.EventID == "" {
			return nil, unreadable("it took events that were not sent, or twice")
		}
		answers[i].taken = true
	}
	for _, f := range out.Failed {
		i, ok := take(f.ID)
		if !ok {
			return nil, unreadable("it refused events that were not sent, or twice")
		}
		switch f.ErrorCode {
		case "Throttling", "ThrottlingException", "InternalFailure", "InvalidChecksum":
			answers[i].again = f.ErrorCode
		case "FieldTooLong", "FieldNotFound", "InvalidData":
			answers[i].rejected = f.ErrorCode
		default:
			return nil, &finalError{"an event was refused: " + advise(f.ErrorCode)}
		}
	}
	if len(index) > 0 {
		return nil, unreadable("it says nothing of %d events", len(index))
	}
	return answers, nil
}
