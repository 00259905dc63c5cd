namespace basin {}
