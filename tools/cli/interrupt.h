#pragma once

namespace basin::tools {

/// From now on Ctrl-C prints how the work is continued, and then ends the program as without this. `advice` must
/// outlive the program. Without effect where Ctrl-C is ignored, as under nohup.
void explain_interrupt(const char* advice);

}  // namespace basin::tools
