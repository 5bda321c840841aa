"""Where facts about devices come from: a file each."""
