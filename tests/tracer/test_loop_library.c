/* SPDX-License-Identifier: MIT */
/* tracer/loop_library: whose frames lie between a loop and the callback of the application. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "loop_library.h"

static const struct {
	const char *function, *file, *module, *library; /* library NULL: the application's own */
	bool glue;
} frames[] = {
	{NULL, NULL, "/usr/lib/libQt5Core.so.5.15.8", "Qt", false},
	{"QCoreApplication::notifyInternal2(QObject*, QEvent*)", NULL,
	 "/usr/lib/libQt6Network.so.6.4.2", "Qt", false},
	{"call<QtPrivate::List<>, void>",
	 "/usr/include/x86_64-linux-gnu/qt5/QtCore/qobjectdefs_impl.h", "/srv/app", "Qt", false},
	{"QtPrivate::QFunctorSlotObject<Server, int>::impl(int, QtPrivate::QSlotObjectBase*)", NULL,
	 "/srv/app", "Qt", false},
	{"Server::qt_static_metacall(QObject*, QMetaObject::Call, int, void**)", "moc_server.cpp",
	 "/srv/app", NULL, true},
	{"Server::ready(QtPrivate::List<>)", "/srv/server.cc", "/srv/app", NULL, false},
	{"complete", "/usr/include/boost/asio/detail/scheduler_operation.hpp", "/srv/app", "Asio",
	 false},
	{"operator()", "/opt/asio/include/asio/impl/read.hpp", "/srv/app", "Asio", false},
	{"void boost::asio::detail::executor_function::complete<int>(int)", NULL, "/srv/app",
	 "Asio", false},
	{"Session::read(boost::asio::ip::tcp)", NULL, "/srv/app", NULL, false},
	{"resume", "/usr/include/c++/12/coroutine", "/srv/app", NULL, true},
	{"std::_Function_handler<void (), main::{lambda()#1}>::_M_invoke(std::_Any_data const&)",
	 NULL, "/srv/app", NULL, true},
	{"std::vector<int> shop::sorted<int>(int)", NULL, "/srv/app", NULL, false},
	{"tevent_common_invoke_fd_handler", NULL, "/usr/lib/libtevent.so.0.14.1", "tevent", false},
	{"tokio::runtime::task::harness::poll", NULL, "/srv/app", "Tokio", false},
	{"{closure#0}", "/root/.cargo/registry/src/index/tokio-1.24.2/src/runtime/task/core.rs",
	 "/srv/app", "Tokio", false},
	{"call_once", "/rustc/f6bd1a2b/library/core/src/panic/unwind_safe.rs", "/srv/app", NULL,
	 true},
	{"<core::pin::Pin<P> as core::future::future::Future>::poll", NULL, "/srv/app", NULL, true},
	{"app::serve::{{closure}}", "src/main.rs", "/srv/app", NULL, false},
	{NULL, NULL, NULL, NULL, false},
};

static void whose_a_frame_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < LSC_ARRAY_LEN(frames); i++) {
		struct inspector_frame f = {.function = frames[i].function,
					    .file = frames[i].file,
					    .module = frames[i].module};
		const char *library = loop_library(&f);

		if (frames[i].library)
			assert_string_equal(library, frames[i].library);
		else
			assert_null(library);
		if (!library)
			assert_int_equal(loop_library_is_glue(&f), frames[i].glue);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whose_a_frame_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
