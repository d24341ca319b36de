"""Sessions that another program keeps in Redis: looked up, ended, never written."""
