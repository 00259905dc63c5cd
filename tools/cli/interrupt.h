#pragma once

namespace basin::tools {

/// From now on Ctrl-C prints how to continue the work before it ends the program as usual. `advice` must outlive the
/// program. Has no effect if Ctrl-C is ignored, as under nohup.
void explain_interrupt(const char* advice);

}  // namespace basin::tools
