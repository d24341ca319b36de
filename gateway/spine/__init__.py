"""Decides how a request is handled. Pure; shared by all callers.

| module | holds |
| --- | --- |
| `evaluate` | `before_lookup` and `after_lookup`, the two halves around the look-up |
| `session_plan` | what was found for one session at one route, and for how long |
| `planned` | the second half by such a plan |
| `reconsider` | the same decision for a stream that is open, after a reload |
| `outcome` | their results: Lookup, Forward, Respond, Local |
| `ruleset` | what they read of the configuration |
| `answers` | what a refused request gets: a problem or a redirect |
| `credential` | which session a request names, and the cookies an upstream may see |
| `grants` | what an allowed request carries: identity, tokens, a longer session |
| `local_paths` | the paths that the gateway answers itself |

The server, `gateway explain` and every other caller use the same two functions, so
none of them can decide differently. Nothing here does I/O, reads a clock or draws a
random number.
"""
