// Applies the scheme that was chosen with the switch before anything is drawn; without a choice, the system's holds.
"use strict";
try {
  const chosen = localStorage.getItem("microfiche-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing for pages follows the system.
}
