/* The mailbox form's help: an address is marked as required as soon as its notification is chosen,
   and a new mailbox gets a free number and an address suggested until somebody types one.
   Without this script the server's checks say the same after saving. */

"use strict";

(function () {
    const field = (name) => document.getElementById(`id_${name}`);

    function requireWith(notify, address, hint) {
        if (!notify || !address) {
            return;
        }
        const label = document.querySelector(`label[for="${address.id}"]`);
        const note = document.createElement("div");
        note.className = "required-hint";
        note.setAttribute("role", "status");
        // What describes the field to a screen reader, too.
        document.getElementById(`${address.id}_helptext`).append(note);

        function update() {
            const isRequired = notify.value !== "no";
            address.required = isRequired;
            address.setAttribute("aria-required", String(isRequired));
            label.classList.toggle("required", isRequired);
            note.textContent = isRequired && !address.value.trim() ? hint : "";
        }

        notify.addEventListener("change", update);
        address.addEventListener("input", update);
        update();
    }

    function suggestFor(organization, url) {
        const fields = {mailbox: field("mailbox"), username: field("username")};
        const fullname = field("fullname");
        const typed = new Set();
        // After a refusal the form has what was entered, and none of it is a suggestion.
        const wasRefused = document.querySelector(".errornote") !== null;
        let latest = 0;

        async function suggest() {
            const number = latest += 1;
            if (!organization.value) {
                return;
            }
            const query = new URLSearchParams({
                organization: organization.value,
                fullname: fullname.value,
                mailbox: typed.has("mailbox") ? fields.mailbox.value : "",
            });
            let suggestions = {};
            try {
                const response = await fetch(`${url}?${query}`);
                suggestions = response.ok ? await response.json() : {};
            } catch {
                // A suggestion is a convenience: without an answer the person types.
            }
            for (const [name, input] of Object.entries(fields)) {
                if (number === latest && name in suggestions && !typed.has(name)) {
                    input.value = suggestions[name] ?? "";
                }
            }
        }

        for (const [name, input] of Object.entries(fields)) {
            if (wasRefused && input.value) {
                typed.add(name);
            }
            input.addEventListener("input", () => {
                // Whoever empties a field wants a suggestion again.
                typed[input.value ? "add" : "delete"](name);
            });
        }
        // The searchable list tells of a choice through jQuery alone.
        django.jQuery(organization).on("change", suggest);
        fullname.addEventListener("change", suggest);
        fields.mailbox.addEventListener("change", suggest);
    }

    document.addEventListener("DOMContentLoaded", () => {
        requireWith(field("notify_email"), field("email"),
            "Required, because e-mail notification is chosen.");
        requireWith(field("notify_pager"), field("pager"),
            "Required, because pager notification is chosen.");
        const organization = field("organization");
        if (organization && organization.dataset.suggestUrl) {
            suggestFor(organization, organization.dataset.suggestUrl);
        }
    });
})();
