//! Breakers, retries, budgets, limiters and fallbacks that need no actor.
