"""Adapter to the ``dependencies`` package; nothing else imports it.

The package is imported and its ``this`` built up without the warnings that its 7.7 release gives
on every use (it advises against itself; the tutorial that defines this library is written on it).
Relied on, and tested in ``tests/core/inject/test_dependencies_package.py``:

* ``type(Injector)`` can be subclassed, and a class made by it holds ``__dependencies__`` with
  ``has(name)``, ``get(name)`` and ``specs``;
* a spec has ``args`` (argument name -> has a default) and ``factory(**kwargs) -> (object, _)``;
* the argument ``__self__`` of a ``this`` or nested-injector spec takes an object whose attributes
  are resolved on access;
* ``shield(callable)`` is called without arguments;
* a ``this`` keeps its path in ``__expression__``, and the shift ``this << 1`` starts it with
  ``(".", "__parent__")``.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import dependencies
    from dependencies import this as _package_this
    from dependencies.exceptions import DependencyError as DependencyError

Injector = dependencies.Injector
InjectorType: type = type(Injector)
PackageThis: type = type(_package_this)
package_value = dependencies.value
package_shield = dependencies.shield
